"""One exported suite a port, and the implementations that pass it. A suite knows no implementation."""
