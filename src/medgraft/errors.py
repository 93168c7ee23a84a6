"""Every exception a user can meet. Each ends the program with its message alone, by `Exit`."""


class MedgraftError(Exception):
    """Something the user can put right; the message says what came, what was expected and where."""


class ConfigError(MedgraftError):
    """The configuration names something unknown, has a wrong type, or contradicts itself."""


class CohortError(MedgraftError):
    """A raw file or a cohort description is not as described; lists every problem found."""


class SealError(MedgraftError):
    """Raw data are not the bytes that were sealed."""


class LeakError(MedgraftError):
    """The audit found information that crosses from test to training; no result may be made."""


class StageError(MedgraftError):
    """A stage lacks its inputs or what lies on disk does not fit together."""


class Preempted(MedgraftError):
    """Training was told to end, and has saved its state."""


class MedgraftWarning(UserWarning):
    """Something the user should know and may accept."""


class NotExplained(MedgraftError):
    """The champion is of a kind whose answers are not explained."""
