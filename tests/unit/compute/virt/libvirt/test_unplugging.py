"""Asking for a device: what libvirt refuses although nothing is wrong."""

from __future__ import annotations

from unittest import mock

import libvirt
import pytest

from compute.virt.libvirt.unplugging import ask_for


def refusal(code: int, words: str) -> libvirt.libvirtError:
    error = libvirt.libvirtError(words)
    error.err = (code, 0, words, 0, "", None, None, 0, 0)
    return error


def domain_that(error: libvirt.libvirtError | None) -> mock.Mock:
    return mock.Mock(detachDeviceAlias=mock.Mock(side_effect=error))


@pytest.mark.parametrize(("code", "words"), [
    (libvirt.VIR_ERR_DEVICE_MISSING, "device not found: no disk found"),
    (libvirt.VIR_ERR_OPERATION_INVALID, "domain is not running"),
    (libvirt.VIR_ERR_INTERNAL_ERROR, "internal error: Device x is already in the process of unplug"),
    (libvirt.VIR_ERR_INTERNAL_ERROR, "internal error: no device found with alias ua-1")])
def test_a_device_that_is_gone_or_was_asked_for_is_no_fault(code: int, words: str) -> None:
    ask_for(domain_that(refusal(code, words)), "ua-1")


def test_all_else_is_told() -> None:
    with pytest.raises(libvirt.libvirtError, match="broken"):
        ask_for(domain_that(refusal(libvirt.VIR_ERR_INTERNAL_ERROR, "internal error: broken")), "ua-1")
