"""Follows a packet from a server's port to another port or an address, by the records and by what hosts really have.

`endpoints` reads the records of both ends, `rules` judges security group rules, `walk` goes from hop to hop. It sends
nothing: hosts are asked what is in their kernels (`ComputeAPI.inspect_network`). What a guest does with a packet, and
what switches between hosts do, is not seen.

Called by the flow of network.trace_packet alone, which `hostler-manage trace-packet` accepts.
"""
