"""Taking submissions in: accept, holds, replay; the MLLP and folder channels."""
