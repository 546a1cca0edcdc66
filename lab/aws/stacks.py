"""CloudFormation, where moto leaves it short: schedule groups, and an inline function that is changed by an update.

moto's CreateStack makes tables, functions, roles and log groups for real. Its CloudFormation package takes about
a second to import: the first call that needs it waits that long, and a lab in which nothing is installed does not.
"""

from __future__ import annotations

import base64
from typing import Any

from moto.awslambda.models import LambdaFunction
from moto.core.common_models import CloudFormationModel
from moto.scheduler.models import ScheduleGroup, scheduler_backends

from lab.aws.patching import replace


class _Group(CloudFormationModel):
    """AWS::Scheduler::ScheduleGroup, which moto knows as an API and not as a resource of a stack."""

    def __init__(self, group: ScheduleGroup) -> None:
        self.group = group

    @property
    def physical_resource_id(self) -> str:
        return str(self.group.name)

    @staticmethod
    def cloudformation_name_type() -> str:
        return "Name"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::Scheduler::ScheduleGroup"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == "Arn"

    def get_cfn_attribute(self, attribute_name: str) -> str:
        return str(self.group.arn)

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **kwargs: Any
    ) -> _Group:
        backend = scheduler_backends[account_id][region_name]
        return cls(backend.create_schedule_group(resource_name, cloudformation_json["Properties"].get("Tags", [])))

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: _Group, new_resource_name: str, cloudformation_json: Any, *place: str
    ) -> _Group:
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> None:
        scheduler_backends[account_id][region_name].delete_schedule_group(resource_name)

    def is_created(self) -> bool:
        return True


def _update_function(
    cls: type[LambdaFunction],
    original_resource: LambdaFunction,
    new_resource_name: str,
    cloudformation_json: dict[str, Any],
    account_id: str,
    region_name: str,
) -> LambdaFunction:
    """As moto's, with inline code packed, as CreateStack has it packed."""
    properties = dict(cloudformation_json["Properties"])
    code = dict(properties.pop("Code"))
    if isinstance(text := code.get("ZipFile"), str):
        package = original_resource._create_zipfile_from_plaintext_code(text)
        code["ZipFile"] = base64.b64encode(package)
    original_resource.update_configuration(properties)
    original_resource.update_function_code(code)
    return original_resource


class Stacks:
    """Makes CreateStack and UpdateStack do what they say."""

    def start(self) -> None:
        """Put the missing parts in; the rest is loaded by the first call."""
        replace(LambdaFunction, "update_from_cloudformation_json", classmethod(_update_function))

    def stop(self) -> None:
        """Nothing runs."""
