"""The embedded identity service: who users are, which roles they hold, and the tokens that prove it.

`service.Identity` is the entry point: it logs users in and issues, validates and revokes tokens. `keys` holds the
Fernet keys, `tokens` the token's payload, `passwords` the hashes and the lockout, `logins` the authentication methods
(password, token, application credential), `token_state` and `roles` what a token grants, `catalog` where the other
services are. Nothing here knows HTTP; policy belongs to the api.
"""
