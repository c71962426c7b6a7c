"""The parts of the paired bench: building its programs, starting servers, running rounds, judging and reporting. No server code lives here."""
