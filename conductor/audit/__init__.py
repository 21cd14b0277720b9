"""The doctor: compares records with hosts and storage nodes, says what is wrong, and mends it when told.

`evidence` asks every agent what is really there, `checks` are what can be wrong (one module each), and
`examine` finds and mends. Nothing that an operation holds is touched. What looks wrong is looked at twice before it is
said, and a third time under its lock before it is mended, since a cloud does not stand still while it is examined.

Called by the flow of cloud.audit alone, which `hostler-manage doctor` accepts.
"""
