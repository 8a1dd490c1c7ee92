"""The node in a browser: pages for people, JSON for programs. The only importer of starlette, uvicorn and jinja2."""
