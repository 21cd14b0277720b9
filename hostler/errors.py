"""The one error hierarchy.

Families say what the caller can do about it (look elsewhere, wait, correct the request); leaves carry fields and a
message template. `api.errors` holds the only table from family to HTTP status; the bus carries these classes by
name, so a leaf must be constructible from its fields alone.

>>> str(NotFound(resource="server", id="42"))
'server 42 could not be found.'
"""

from __future__ import annotations

from typing import Any


class HostlerError(Exception):
    """Base of all errors that Hostler raises on purpose.

    `code` is the stable wire name (append-only); `template` is filled from the keyword fields.
    """

    code = "Internal"
    template = "An unexpected error occurred."

    def __init__(self, message: str | None = None, **fields: Any) -> None:
        self.fields = fields
        text = message if message is not None else self.template.format(**fields)
        # The bus builds the error again at the other end from this attribute.
        self.kwargs = dict(fields)
        super().__init__(text)

    @property
    def details(self) -> str:
        """What operators read beside the message: names of hosts, paths, waits. The message is for any user."""
        return str(self.fields.get("details") or self)


def details_of(failure: BaseException) -> str:
    """Return what operators read about a failure that may not be one of ours."""
    return failure.details if isinstance(failure, HostlerError) else str(failure)


class NotFound(HostlerError):
    """The thing named does not exist, or the caller may not know that it does."""

    code = "NotFound"
    template = "{resource} {id} could not be found."


class Invalid(HostlerError):
    """The request can never succeed as it stands; the caller must correct it."""

    code = "Invalid"
    template = "{reason}"


class InvalidField(Invalid):
    """One named field of the request is wrong."""

    code = "InvalidField"
    template = "Invalid input for field/attribute {field}. Value: {value}. {reason}"


class InvalidZone(Invalid):
    """No service stands in the availability zone."""

    code = "InvalidZone"
    template = "Availability zone '{zone}' is invalid."


class ConsoleUnavailable(Invalid):
    """The server has no console of this type."""

    code = "ConsoleUnavailable"
    template = "Unavailable console type {type}."


class Conflict(HostlerError):
    """The request is well formed but the present state forbids it."""

    code = "Conflict"
    template = "{reason}"


class InvalidState(Conflict):
    """The resource's state does not allow the action."""

    code = "InvalidState"
    template = "Cannot '{action}' {resource} {id} while it is in {attribute} {state}"


class WrongStatus(InvalidState):
    """The status of a volume, snapshot or backup does not allow the action; `allowed` says what would."""

    code = "WrongStatus"
    template = "Invalid {resource}: {resource} {id} status must be {allowed}, but current status is: {status}."


class ResourceLocked(Conflict):
    """Another operation holds the resource. `locked` is a list of {"id", "type"} maps."""

    code = "ResourceLocked"
    template = "Resource [{resource}-{id}] locked by operation {operation} ({kind})"


class StaleRevision(Conflict):
    """The caller made the change conditional on a revision that the resource no longer has."""

    code = "StaleRevision"
    template = "Constrained to {expected}, but current revision is {current}"


class NotUnique(Conflict):
    """A resource with this identity exists already."""

    code = "NotUnique"
    template = "{resource} {id} already exists."


class InUse(Conflict):
    """Something still depends on the resource."""

    code = "InUse"
    template = "{resource} {id} is in use: {reason}"


class Forbidden(HostlerError):
    """The caller is known but may not do this."""

    code = "Forbidden"
    template = "Policy doesn't allow {action} to be performed."


class QuotaExceeded(Forbidden):
    """The project's quota would be passed. `overs` names the resources."""

    code = "QuotaExceeded"
    template = "Quota exceeded for {overs}: Requested {requested}, but already used {used} of {limit} {overs}"


class VolumeLimitExceeded(QuotaExceeded):
    """The project's number of volumes, snapshots or backups would be passed; `name` is the quota's."""

    code = "VolumeLimitExceeded"
    template = "Maximum number of {noun} allowed ({limit}) exceeded for quota '{name}': {used} exist already."


class VolumeSizeExceedsQuota(QuotaExceeded):
    """The project's gigabytes would be passed; sizes are GiB."""

    code = "VolumeSizeExceedsQuota"
    template = ("Requested volume or snapshot exceeds allowed {name} quota. Requested {requested}G, quota is {limit}G "
                "and {used}G has been consumed.")


class VolumeSizeExceedsLimit(QuotaExceeded):
    """One volume would be larger than the project may have them; sizes are GiB."""

    code = "VolumeSizeExceedsLimit"
    template = "Requested volume size {size}G is larger than maximum allowed limit {limit}G."


class Unauthorized(HostlerError):
    """The caller is not known."""

    code = "Unauthorized"
    template = "The request you have made requires authentication."


class NoCapacity(HostlerError):
    """There is no room for the request now."""

    code = "NoCapacity"
    template = "{reason}"


class NoValidHost(NoCapacity):
    """The scheduler found no host. `removed` maps each filter to the number of hosts it took away.

    `retry` is true when hosts that are silent just now could have taken the request.
    """

    code = "NoValidHost"
    template = "No valid host was found. {reason}"


class NoValidBackend(NoCapacity):
    """The scheduler found no back end for a volume. `removed` maps each filter to the number of back ends it took away.

    `retry` is true when back ends of nodes that are silent just now could have taken the volume.
    """

    code = "NoValidBackend"
    template = "No valid backend was found. {reason}"


class NoAddress(Conflict):
    """A network has too few free addresses: `wanted` were asked for, `free` of the `size` that its pools give are."""

    code = "NoAddress"
    template = "No more IP addresses available on network {network}: {wanted} wanted, {free} of {size} are free."


class Unavailable(HostlerError):
    """A part of the cloud does not answer just now; the same request may succeed later."""

    code = "Unavailable"
    template = "{part} is not available."


class DatabaseUnavailable(Unavailable):
    """The database does not answer, or is too busy: whatever needed it may be repeated later."""

    code = "DatabaseUnavailable"
    template = "The database is not available."


class OutcomeUnknown(DatabaseUnavailable):
    """The database stopped answering during or after a commit: the change may have been made."""

    code = "OutcomeUnknown"
    template = "The database stopped answering. The change may have been made: look before you repeat the request."


class Silent(Unavailable):
    """A service showed no life during a call, or the broker took no message; the call may have had its effect."""

    code = "Silent"
    template = "{part} does not answer."

    @property
    def details(self) -> str:
        """The message and the host."""
        host = self.fields.get("host")
        return f"{self} ({host})" if host else str(self)


class Incompatible(Silent):
    """A service of another release refused the message's version unread; it answers once it is upgraded."""

    code = "Incompatible"
    template = "{part} is of another release and does not understand the call; upgrade it."


class SenderRefused(Silent):
    """A service refused a message unread: its sender may not ask this, or speaks for another host."""

    code = "SenderRefused"
    template = "{sender} may not send {method} here, or not for that host; the message was refused."


class BrokerSilent(Silent):
    """The message broker does not answer. This says nothing about the service that was called."""

    code = "BrokerSilent"
    template = "The message broker does not answer."


class HostUnreachable(Unavailable):
    """An agent did not answer within the patience the operator configured; `details` names it."""

    code = "HostUnreachable"
    template = "The host does not answer."

    @property
    def details(self) -> str:
        """Which, and for how long."""
        return "Host {host} did not answer for {waited_s} s.".format(**self.fields)


class NodeUnreachable(HostUnreachable):
    """As HostUnreachable, of a storage node's agent."""

    code = "NodeUnreachable"
    template = "The storage node does not answer."

    @property
    def details(self) -> str:
        """Which, and for how long."""
        return "Storage node {host} did not answer for {waited_s} s.".format(**self.fields)


class NotImplementedHere(HostlerError):
    """The published API has this, Hostler does not (yet)."""

    code = "NotImplementedHere"
    template = "{feature} is not supported by this cloud."


class Gone(HostlerError):
    """The published API had this once; nobody offers it any more."""

    code = "Gone"
    template = "{reason}"


class TooManyRequests(HostlerError):
    """The sender has used up its rate of requests; the same request may succeed later."""

    code = "TooManyRequests"
    template = "Too many requests. Try again in {retry_after_s} seconds."


class TooLarge(Invalid):
    """The body is larger than what is accepted."""

    code = "TooLarge"
    template = "Request is too large: {reason}"


class UnsupportedImage(Invalid):
    """The image's content is refused: not what it claims to be, or it reaches outside itself."""

    code = "UnsupportedImage"
    template = "Image {id} is unacceptable: {reason}"


class AgentError(HostlerError):
    """Something on a host failed; `reason` is readable by any user and names no host or path, `details` may."""

    code = "AgentError"
    template = "{reason}"


class Unwanted(AgentError):
    """An agent stopped a long step, since its operation was asked to stop."""

    code = "Unwanted"
    template = "The operation was cancelled."


class MigrationAborted(AgentError):
    """A live migration was stopped because it was asked for; the guest runs on where it was."""

    code = "MigrationAborted"
    template = "The live migration was aborted."


class VolumeFailed(HostlerError):
    """A back end could not make a volume of a server; another host would not help."""

    code = "VolumeFailed"
    template = "Volume {id} could not be made: {reason}"


class StaleAttempt(HostlerError):
    """An agent refused a call because a later attempt of the same operation has spoken already (fencing)."""

    code = "StaleAttempt"
    template = "Operation {operation}: attempt {attempt} is older than attempt {seen}."


class Internal(HostlerError):
    """A fault of ours; the cause is in the log under the request id."""

    code = "Internal"
    template = "An unexpected error prevented the server from fulfilling your request."


class InvalidArguments(Internal):
    """The arguments of an operation are not those of its kind."""

    code = "InvalidArguments"
    template = "Invalid {name} arguments of an operation: {reason}."


class NewerArguments(Internal):
    """The arguments were written by a newer release; one of its conductors has to run the operation."""

    code = "NewerArguments"
    template = "{name} arguments of version {version} are newer than version {known}, which this release knows."
