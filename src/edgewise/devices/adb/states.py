"""What each state of a device means, and what to do about it."""

from __future__ import annotations

_SENTENCES = {
    "offline": "offline: it is listed and does not answer; unplug it and plug it in again, or "
    "'adb disconnect' and 'adb connect' it",
    "unauthorized": "unauthorized: accept this computer's key on the phone's screen",
    "authorizing": "authorizing: accept this computer's key on the phone's screen",
    "connecting": "connecting: it has not answered yet; wait some seconds and try again",
    "no permissions": "no permissions: this user may not open the USB device; add a udev rule for "
    "it (package android-sdk-platform-tools-common), then plug it in again",
    "recovery": "in recovery: start Android on it ('adb reboot')",
    "rescue": "in rescue mode: start Android on it ('adb reboot')",
    "sideload": "in sideload mode: start Android on it ('adb reboot')",
    "bootloader": "in the bootloader: start Android on it ('fastboot reboot')",
    "host": "a computer, not a phone",
    "no device": "no device behind this entry: unplug it and plug it in again",
    "absent": "not connected: plug it in and switch USB debugging on, or 'adb connect' its address",
}


def sentence(state: str) -> str | None:
    """Why a device in this state cannot be measured on; None where it can."""
    if state == "device":
        return None
    return _SENTENCES.get(state, f"in state {state!r}, which is not known: 'adb reboot' may help")
