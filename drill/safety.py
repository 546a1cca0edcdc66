"""The tables of a target that say how it is entered, when it may be drilled, and what ends a drill."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, field_validator

from drill.hours import Hours, parse_hours
from drill.rights import Rights
from drill.write_path import Table

ROLE_ARN = r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$"


class Access(Table):
    """Whose rights the drill uses: never a key, only where keys come from.

    profile: of the AWS configuration, in place of the default chain; role_arn: a role to assume from there, renewed
    by itself; external_id, session_name: as the role's trust policy asks for them.
    """

    profile: str | None = None
    role_arn: str | None = Field(default=None, pattern=ROLE_ARN)
    external_id: str | None = Field(default=None, pattern=r"^[\w+=,.@:/-]+$", min_length=2, max_length=1224)
    session_name: str = Field(default="failover-drill", pattern=r"^[\w+=,.@-]+$", min_length=2, max_length=64)

    @property
    def rights(self) -> Rights:
        """The same, for who opens a session."""
        return Rights(self.profile, self.role_arn, self.external_id, self.session_name)


class Safety(Table):
    """What must hold before a drill begins, what ends it, and what puts back what it broke when it cannot itself.

    lease_wall_s: wall seconds without a sign of life after which the watchdog takes a drill for hung and restores.
    dead_man_s: target seconds after which the server-side dead-man restores, unless the drill renews it.
    stack: name of the CloudFormation stack in the observer Region; its table and function are named after it.

    Guards: required_tags: every resource that a scenario changes must carry them; windows: when drills are allowed
    (see drill.hours), none for any time.

    Stop conditions: max_duration_s: target seconds; stop_alarms: keys of [resources], each must be OK all the time;
    error_budget_s: target seconds of failed probes that the whole drill may cost, None for any; stop_file: a path
    that ends every drill while it exists; stop_parameter: name of an SSM parameter in the observer Region that must
    say "run".
    """

    lease_wall_s: PositiveFloat = 60.0
    dead_man_s: float = Field(default=900.0, ge=60.0)
    max_duration_s: PositiveFloat = 7200.0
    stack: str = Field(default="failover-drill", pattern=r"^[a-z][a-z0-9-]{2,40}$")
    required_tags: dict[str, str] = Field(default_factory=dict)
    windows: tuple[str, ...] = ()
    stop_alarms: tuple[str, ...] = ()
    error_budget_s: PositiveFloat | None = None
    stop_file: str | None = Field(default=None, min_length=1)
    stop_parameter: str | None = Field(default=None, pattern=r"^/?[\w.-]+(/[\w.-]+)*$")

    @field_validator("windows")
    @classmethod
    def _readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            parse_hours(text)
        return value

    @property
    def hours(self) -> tuple[Hours, ...]:
        """The windows, read."""
        return tuple(parse_hours(text) for text in self.windows)
