"""The api service: HTTP in, verbs, answers out.

`openstack/` holds the faces (they translate and hold no rules), `core/` the verbs (authorise, lock, write, start the
operation). A request's path: `wsgi` → `middleware` → a face's resource → a core verb.
"""
