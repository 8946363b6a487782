from runtime.sdk.wsgi import *
