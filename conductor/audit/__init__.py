"""The doctor: compares records with hosts and storage nodes, says what is wrong, and repairs it when told to.

`evidence` asks every agent what is really there, `checks` are what can be wrong (one module each), and
`examine` finds and repairs. Nothing that an operation holds is touched. What looks wrong is checked twice before it is
reported, and a third time under its lock before it is repaired, because the cloud changes while it is examined.

Called by the flow of cloud.audit alone, which `hostler-manage doctor` accepts.
"""
