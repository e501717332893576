"""The one family of errors. Each has a stable code and says what to do next; none carries patient data."""


class WardpostError(Exception):
    """Base of every error that we raise on purpose.

    `code` is stable and listed in docs/errors.md; `message` says what is wrong, `next_step` what the reader can do.
    Neither may hold patient data: both reach logs, acknowledgements and OperationOutcomes.
    """

    def __init__(self, code: str, message: str, *, next_step: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.next_step = next_step

    def diagnostics(self) -> str:
        """What is wrong and what to do next, in two plain sentences."""
        return f"{self.message} {self.next_step}"


class Refused(WardpostError):
    """A request that we understood and do not carry out: wrong state, wrong values, not allowed."""


class NotFound(WardpostError):
    """There is nothing here that this caller may see. The same answer whether it exists for others or not."""


class Gone(WardpostError):
    """It was here and has been withdrawn or erased."""


class Conflict(WardpostError):
    """Somebody else was faster, or two facts contradict each other."""


class Unavailable(WardpostError):
    """A part that we need is away for the moment; the same request may succeed later."""
