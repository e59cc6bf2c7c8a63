"""A session by the Python SDK: it delegates, is asked, answers, waits and cancels.

Arguments: the program, the repository, and how to connect: `legacy` begins with `initialize`, `auto`
asks for the newest revision first. The SDK holds each result against the schema of its tool.
"""

import asyncio
import os
import sys

from mcp import Client, StdioServerParameters

TOOLS = """
delegate.spawn delegate.status delegate.wait delegate.message delegate.pause delegate.cancel
delegate.list delegate.log delegate.result delegate.question.enqueue delegate.question.poll
delegate.question.list delegate.question.answer
""".split()


async def main(program: str, repo: str, mode: str) -> None:
    args = ["delegate-server", "--repo", repo]
    server = StdioServerParameters(command=program, args=args, env=dict(os.environ))
    async with Client(server, mode=mode) as client:

        async def call(tool: str, **arguments):
            result = await client.call_tool(f"delegate.{tool}", arguments)
            assert not result.is_error, result
            return result.structured_content

        listed = (await client.list_tools()).tools
        assert [tool.name for tool in listed] == TOOLS, listed
        assert client.server_info.name == "codex-orchestrator", client.server_info
        assert client.instructions, "the server says how it is used"

        # A child that asks, and ends with the answer.
        child = await call("spawn", pipeline="asks", key="one")
        again = await call("spawn", pipeline="asks", key="one")
        assert again["existing"] and again["run_id"] == child["run_id"], again
        assert (await call("status", manifest_path=child["manifest_path"]))["run_id"] == child["run_id"]
        asked = await call("wait", wait_ms=60_000)
        assert [event["kind"] for event in asked["events"]] == ["question"], asked
        question = asked["events"][0]
        assert question["prompt"] == "red or green?" and question["options"] == ["red", "green"], asked
        await call("question.answer", question_id=question["question_id"], answer="green")
        ended = await call("wait", cursor=asked["cursor"], wait_ms=60_000)
        while not any(event["kind"] == "ended" for event in ended["events"]):
            ended = await call("wait", cursor=ended["cursor"], wait_ms=60_000)
        assert ended["events"][-1]["status"] == "succeeded", ended
        log = await call("log", manifest_path=child["manifest_path"])
        assert "the answer is green" in log["text"], log

        # What this session asks is nothing that it may answer.
        own = await call("question.enqueue", prompt="may I?", options=["yes", "no"])
        refused = await client.call_tool(
            "delegate.question.answer", {"question_id": own["question_id"], "answer": "yes"}
        )
        assert refused.is_error, refused
        assert (await call("question.poll", question_id=own["question_id"]))["status"] == "queued"

        # A call that waits holds up none beside it.
        slow = await call("spawn", pipeline="slow")
        waiting = asyncio.create_task(
            call("wait", manifest_paths=[slow["manifest_path"]], wait_ms=60_000)
        )
        paused = await call("pause", manifest_path=slow["manifest_path"], paused=True)
        assert paused["status"] == "paused" and not waiting.done(), paused
        await call("pause", manifest_path=slow["manifest_path"], paused=False)
        cancelled = await call("cancel", manifest_path=slow["manifest_path"])
        assert cancelled["status"] == "cancelled", cancelled
        told = await waiting
        assert told["events"][0]["status"] == "cancelled" and told["unfinished"] == 0, told
        print("done", client.protocol_version)


asyncio.run(main(*sys.argv[1:]))
