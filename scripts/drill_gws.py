"""A stand-in for Genesys Web Services that a drill can take away."""

import http.server
import json
import threading


class Gws:
    """Genesys Web Services, as far as the service asks for them: a client that gets tokens, and one contact centre."""

    CENTER = {"id": "9350e2fc-a1dd-4c65-8d40-1f75a2e080dd", "domains": ["drill.example"], "environmentId": "drill"}
    # So short that a client that is refused is noticed soon.
    TOKEN_SECONDS = 20

    def __init__(self):
        self.is_gone = False
        self.knows_client = True
        gws = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if gws.is_gone:
                    self.close_connection = True
                    return
                status, body = gws.says(self.path.split("?")[0])
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = answer

            def log_message(self, *_):
                """Nobody reads it."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def settings(self):
        """What a node has to be told."""
        url = f"http://127.0.0.1:{self.server.server_address[1]}"
        return {
            "GES_GWS_AUTH": url, "GES_GWS_ENV": url, "GES_GWS_CONF": url, "GES_GWS_REFRESH_SECONDS": 5,
            "GES_AUTHENTICATION_CLIENT_ID": "drill", "GES_AUTHENTICATION_CLIENT_PASSWORD": "drill-of-this-machine"}

    def says(self, path):
        centers = "/environment/v3/contact-centers"
        if path == "/auth/v3/oauth/token":
            if not self.knows_client:
                return 401, {"error": "invalid_client"}
            return 200, {"access_token": "drill", "token_type": "bearer", "expires_in": self.TOKEN_SECONDS}
        if path.startswith("/configuration/v3/objects/"):
            data = {"totalCount": 0, "objects": []}
        elif path == centers:
            data = [self.CENTER]
        elif path.startswith(centers) and path.endswith("/settings"):
            data = [{"name": "cors-origins", "location": "/", "shared": False, "value": ""}]
        elif path.startswith(centers):
            data = self.CENTER
        else:
            data = {}
        return 200, {"status": {"code": 0}, "data": data}

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
