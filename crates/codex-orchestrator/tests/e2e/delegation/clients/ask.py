"""A stage that asks its parent by the Python SDK, and says what it was answered.

Argument: the program.
"""

import asyncio
import os
import sys

from mcp import Client, StdioServerParameters


async def main(program: str) -> None:
    args = ["delegate-server"]
    server = StdioServerParameters(command=program, args=args, env=dict(os.environ))
    async with Client(server) as client:
        asked = await client.call_tool(
            "delegate.question.enqueue", {"prompt": "red or green?", "options": ["red", "green"]}
        )
        assert not asked.is_error, asked
        question = asked.structured_content["question_id"]
        while True:
            answer = await client.call_tool(
                "delegate.question.poll", {"question_id": question, "wait_ms": 60_000}
            )
            assert not answer.is_error, answer
            if answer.structured_content["status"] != "queued":
                break
        print("the answer is", answer.structured_content["answer"])


asyncio.run(main(*sys.argv[1:]))
