"""The operation: one row that is lock, job, progress, audit record and the answer to "what is it doing?".

`accept` writes it with its locks in the caller's transaction, `lease` lets a conductor own it for a while, `finish`
ends it together with the last change of its resource. `states` holds the one table of transitions.
"""
