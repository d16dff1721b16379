"""What is wrong, without the groups into which trio puts errors."""


def cause_of(error: BaseException) -> BaseException:
    """The error itself: of a group, the first that is in it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
