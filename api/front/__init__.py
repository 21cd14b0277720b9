"""The HTTP server: uvicorn on one thread, with limits, before the WSGI application on a pool of threads.

- `listener`: how many connections there are, in total and from one address.
- `protocol`: sizes, deadlines and the minimum rate of one connection.
- `answers`: an answer as bytes.
- `gateway`: takes the request's body, has a worker run the application, sends the answer.
- `server`: builds, starts and stops it.

Nothing that only waits for a client occupies a worker. Decision record 0016 says why.
"""
