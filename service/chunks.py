"""Bodies that arrive in chunks, however they are cut and wherever they break."""

import io
from typing import Any

from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.unreader import Unreader

from service.waiting import let_others_go_first

# A chunk's size with its extensions, or all trailers; far more than anyone sends.
_LONGEST_HEAD = 2**15
# Of chunks of a byte each, so many are read in less than a millisecond.
_CHUNKS_A_TURN = 64


class Chunks(ChunkedReader):  # type: ignore[misc]
    """Stands in for gunicorn's reader, which trusts in clients.

    It keeps a head for as long as it has no end, and searches all of it at each piece that arrives.
    While a client sends chunks of a byte each, it lets nobody else have a turn, and the worker is
    killed for it. Of chunks that are none it tells only once; then the body seems to have come to
    its end, and what follows, to be the next request.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._chunks = 0

    def read(self, size: int) -> bytes:
        """Read from the chunks; empty at their end.

        Raises:
            NoMoreData: They break off, or are none; the connection ends with this request.
        """
        try:
            data: bytes = super().read(size)
        except BaseException as error:
            # Nor can a read that was given up, a Timeout say, be gone on with.
            self.req.force_close()
            if isinstance(error, OSError | ParseException):
                raise NoMoreData from error
            raise
        return data

    def parse_chunk_size(self, unreader: Unreader, data: bytes | None = None) -> Any:
        """Read a chunk's head, and now and then let others go first."""
        self._chunks += 1
        if self._chunks % _CHUNKS_A_TURN == 0:
            let_others_go_first()
        return super().parse_chunk_size(unreader, data)

    def get_data(self, unreader: Unreader, buf: io.BytesIO) -> None:
        """Read more of a chunk's head, or of the trailers."""
        if buf.tell() > _LONGEST_HEAD:
            raise NoMoreData
        super().get_data(unreader, buf)
