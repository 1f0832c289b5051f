"""HTTP/1.1 as far as an API server needs it: requests, streamed responses, connection reuse."""
