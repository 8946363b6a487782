from runtime.sdk.workers.workflows import *
