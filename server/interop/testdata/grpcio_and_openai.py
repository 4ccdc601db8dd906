"""Calls one server through generated grpcio stubs and through PyPI's openai, in one process.

Usage: grpcio_and_openai.py HOST:PORT, with the directory of the stubs in PYTHONPATH.
"""

import sys

import grpc
import openai

from openaiconnect.chat.v1 import chat_service_pb2_grpc, create_chat_completion_pb2, message_pb2
from openaiconnect.shared.v1 import reasoning_effort_pb2

MODEL = "sandbox"
PROMPT = "Hello!"


def with_grpcio(address):
    """Returns the text of a unary call and of a stream."""
    request = create_chat_completion_pb2.CreateChatCompletionRequest(
        model=MODEL,
        messages=[message_pb2.Message(role=message_pb2.ROLE_USER, content=PROMPT)],
        reasoning_effort=reasoning_effort_pb2.REASONING_EFFORT_LOW,
    )
    with grpc.insecure_channel(address) as channel:
        stub = chat_service_pb2_grpc.ChatServiceStub(channel)
        completion = stub.CreateChatCompletion(request, timeout=30)
        chunks = list(stub.StreamChatCompletion(request, timeout=30))
    return [
        completion.choices[0].message.content,
        "".join(choice.delta.content for chunk in chunks for choice in chunk.choices),
    ]


def with_openai(address):
    """Returns the text of a unary call and of a stream."""
    request = {
        "model": MODEL,
        "messages": [{"role": "user", "content": PROMPT}],
        "reasoning_effort": "low",
    }
    with openai.OpenAI(api_key="sk-test", base_url=f"http://{address}/v1", max_retries=0, timeout=30) as client:
        completion = client.chat.completions.create(**request)
        chunks = list(client.chat.completions.create(**request, stream=True))
    return [
        completion.choices[0].message.content,
        "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices),
    ]


for text in with_grpcio(sys.argv[1]) + with_openai(sys.argv[1]):
    print(text)
