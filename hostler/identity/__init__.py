"""The embedded identity service: who somebody is, what roles they hold where, and the tokens that say so.

`service.Identity` is the one entrance: it logs in, issues, validates and revokes. `keys` keeps the Fernet keys,
`tokens` the token's payload, `passwords` the hashes and the lockout, `logins` the methods (password, token,
application credential), `facts` and `roles` what a token is worth, `catalog` where the other services are. Nothing
here knows HTTP; policy is the api's.
"""
