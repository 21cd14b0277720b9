"""One query engine for every list: fields, relations and an expression tree that becomes one SQL statement.

Faces parse their own query languages into `expressions`; `compiler` turns a tree into a condition on a `Resource`,
`paging` reads pages of what matches.

>>> And((Compare("name", Operator.EQ, "web"), Some("ports", Compare("status", Operator.EQ, "ACTIVE"))))
"""
