"""nginx with one worker that serves one small file to connections that stay."""

import shutil

from server import Server, free_port

# What Debian's own settings say of files.
AS_INSTALLED = "sendfile on; tcp_nopush on;"
# The file stays open and is read, which takes fewer calls than sending it separately from its headers.
FASTEST = "sendfile off; open_file_cache max=16 inactive=1h; open_file_cache_valid 1h;"

SETTINGS = """
daemon off;
pid {folder}/pid;
error_log {folder}/errors.log;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
    {file_settings}
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/www;
        types {{ }}
        default_type {media_type};
        # In place of its own.
        etag off;
        max_ranges 0;
        server_tokens off;
        add_header last-modified "";
        {headers}
    }}
}}
"""
ITS_OWN = ["connection", "content-length", "content-type", "date"]


class Nginx(Server):
    """Serves what somebody else answered."""

    def __init__(self, parent, answer, file_settings, core):
        headers, body = answer
        port = free_port()
        folder = parent / f"nginx-{port}"
        file = folder / "www" / ".well-known" / "jwks.json"
        file.parent.mkdir(parents=True)
        file.write_bytes(body)
        added = [f"add_header {name} {quoted(value)};" for name, value in headers.items() if name not in ITS_OWN]
        settings = folder / "nginx.conf"
        settings.write_text(
            SETTINGS.format(
                folder=folder,
                file_settings=file_settings,
                port=port,
                media_type=headers["content-type"],
                headers=" ".join(added),
            )
        )
        binary = shutil.which("nginx") or "/usr/sbin/nginx"
        command = [binary, "-e", folder / "errors.log", "-p", folder, "-c", settings]
        super().__init__(command, folder / "log", {}, f"http://127.0.0.1:{port}/.well-known/jwks.json", core)


def quoted(value):
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
