"""All that a RunnerEnrollment's status is computed from."""

from dataclasses import dataclass

from schemas.runner import RunnerEnrollment


@dataclass(frozen=True, slots=True)
class EnrollmentSnapshot:
    """The enrolment."""

    subject: RunnerEnrollment
