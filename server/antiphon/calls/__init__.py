"""What every call passes, whichever port it came by: the guard, the interceptors, the thin servicers, and the only mapping from errors to status.

Nothing here knows a transport, and no use case lives here.
"""
