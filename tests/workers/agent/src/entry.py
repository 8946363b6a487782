"""An agent of LangChain's: the model asks for tools, which look into KV, until it answers."""

from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        question = (await request.json())["question"]

        @tool
        async def price(product: str) -> str:
            """What a product costs."""
            return await self.env.PRICES.get(product) or "unknown"

        @tool
        def times(a: float, b: float) -> float:
            """Multiplies."""
            return a * b

        tools = {one.name: one for one in (price, times)}
        model = ChatOpenAI(model="m", base_url=self.env.BASE_URL, api_key="key").bind_tools(list(tools.values()))
        messages = [SystemMessage("You sell things."), HumanMessage(question)]
        for _ in range(5):
            answer = await model.ainvoke(messages)
            messages.append(answer)
            if not answer.tool_calls:
                break
            for call in answer.tool_calls:
                found = await tools[call["name"]].ainvoke(call["args"])
                messages.append(ToolMessage(str(found), tool_call_id=call["id"]))
        return Response.json({"answer": answer.content, "steps": len(messages)})
