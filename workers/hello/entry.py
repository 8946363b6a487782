from workers import Response


async def fetch(request, env, ctx):
    return Response("Hello from Python!\n")
