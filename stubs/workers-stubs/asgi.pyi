from runtime.sdk.asgi import *
