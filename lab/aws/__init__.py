"""The AWS API of a lab, on moto."""

from lab.aws import light

light.install()
