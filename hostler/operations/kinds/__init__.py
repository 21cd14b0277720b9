"""The table of operation kinds: one typed row per kind, by the noun it is about.

Everything else that is known of a kind is derived from its row: what a locked resource shows, from which states an
action starts, what a deletion may cancel, the words in a server's action list, the tables in the documentation. The
conductor adds the flow (`conductor.flows.registry`); a row without one is refused when that is imported.

>>> accept(session, context, server.ATTACH_VOLUME, Target("server", server_id),
...        server.AttachVolume(attachment_id=attachment_id, volume_id=volume_id))
"""
