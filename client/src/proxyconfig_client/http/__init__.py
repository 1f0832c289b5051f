"""HTTP/1.1 as far as it is needed: a client of API servers (requests, streamed responses, reused connections), and a server of pages."""
