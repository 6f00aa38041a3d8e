"""What the service promises, asked of the application itself and of a real server over a socket.

`clients` asks as other servers' clients do, `browser` as a person with a mouse does.
"""
