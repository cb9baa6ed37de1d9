"""A TCP proxy before the server: writes down what groups and their members are told, and can tell them lies (see faults.py).

Every client connects here (advertised.listeners names this port). A request's time is taken before it goes to the server, a
response's before it goes to the client: an order of times here is an order of what happened there.
"""

import asyncio
import collections
import threading
import time

from harness import codec

OFFSET_COMMIT, OFFSET_FETCH, JOIN, HEARTBEAT, LEAVE, SYNC, DESCRIBE, CONSUMER_HEARTBEAT, CONSUMER_DESCRIBE = \
    8, 9, 11, 12, 13, 14, 15, 68, 69
PRODUCE, METADATA = 0, 3
REQUESTS_READ = {OFFSET_COMMIT, OFFSET_FETCH, JOIN, HEARTBEAT, LEAVE, SYNC, CONSUMER_HEARTBEAT}
RESPONSES_READ = REQUESTS_READ | {METADATA, DESCRIBE, CONSUMER_DESCRIBE}
FRAME_LIMIT = 100 << 20


def now_ms():
    return time.monotonic() * 1000


class Exchange:
    """One request, and what is known when its response comes."""

    def __init__(self, key, version, client, request):
        self.key, self.version, self.client, self.request, self.time = key, version, client, request, now_ms()


class Proxy:
    def __init__(self, port, server_port, faults=None):
        self.port, self.server_port, self.faults = port, server_port, faults
        # What was seen, in order; names of topics by id.
        self.events, self.topics, self.unreadable = [], {}, []
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def start(self):
        self.thread.start()
        assert self.ready.wait(10), "the proxy does not listen"
        return self

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)

    def _serve(self):
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(lambda loop, context: None)
        self.loop.run_until_complete(asyncio.start_server(self._connection, "127.0.0.1", self.port, limit=1 << 20))
        self.ready.set()
        self.loop.run_forever()

    async def _connection(self, reader, writer):
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.server_port, limit=1 << 20)
        except OSError:
            writer.close()
            return
        waiting, order = {}, collections.deque()
        ways = [asyncio.ensure_future(self._pump(reader, server_writer, self._request, waiting, order)),
                asyncio.ensure_future(self._pump(server_reader, writer, self._response, waiting, order))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for each in (writer, server_writer):
            each.close()

    async def _pump(self, reader, writer, look, waiting, order):
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(4), "big")
                if size > FRAME_LIMIT:
                    return
                frame = look(await reader.readexactly(size), waiting, order)
                writer.write(len(frame).to_bytes(4, "big") + frame)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass

    def _request(self, frame, waiting, order):
        key, version, correlation, client, at = codec.request_header(frame)
        order.append((correlation, key))
        if key in RESPONSES_READ:
            try:
                exchange = Exchange(key, version, client, codec.REQUESTS[key].decode(frame, version, at)[0])
            except (ValueError, IndexError, UnicodeDecodeError) as error:
                self.unreadable.append(f"request {key} v{version} of {client}: {error}")
                return frame
            waiting[correlation] = exchange
            if key in REQUESTS_READ:
                self._note_request(exchange)
            edited = self.faults and self.faults.edited_request(exchange)
            if edited:
                return frame[:at] + codec.REQUESTS[key].encode(edited, version)
        return frame

    def _response(self, frame, waiting, order):
        correlation = int.from_bytes(frame[:4], "big")
        # A Produce without acks has no response; all else is answered in the order of the requests.
        while order and order[0][0] != correlation and order[0][1] == PRODUCE:
            order.popleft()
        if not order or order.popleft()[0] != correlation:
            self.unreadable.append(f"response {correlation} out of order")
        exchange = waiting.pop(correlation, None)
        if exchange is None:
            return frame
        message = codec.RESPONSES[exchange.key]
        try:
            at = codec.skip_tags(frame, 4) if message.is_flexible(exchange.version) else 4
            response = message.decode(frame, exchange.version, at)[0]
        except (ValueError, IndexError, UnicodeDecodeError) as error:
            self.unreadable.append(f"response {exchange.key} v{exchange.version} of {exchange.client}: {error}")
            return frame
        if self.faults and self.faults.edit_response(exchange, response):
            frame = frame[:at] + message.encode(response, exchange.version)
        if exchange.key == METADATA:
            self.topics |= {t["TopicId"]: t["Name"] for t in response["Topics"] if t.get("TopicId") and t["Name"]}
        elif exchange.key in REQUESTS_READ:
            self._note_response(exchange, response)
        return frame

    def _note(self, kind, exchange, group, member, **more):
        self.events.append({"t": now_ms(), "kind": kind, "client": exchange.client, "group": group, "member": member, **more})

    def _note_request(self, exchange):
        r, key = exchange.request, exchange.key
        if key == LEAVE:
            for member in [m["MemberId"] for m in r.get("Members", ())] or [r.get("MemberId")]:
                self._note("leave", exchange, r["GroupId"], member)
        elif key == JOIN:
            owned = set()
            for protocol in r["Protocols"]:
                subscription = codec.embedded("ConsumerProtocolSubscription", protocol["Metadata"]) or {}
                owned |= {(t["Topic"], p) for t in subscription.get("OwnedPartitions") or () for p in t["Partitions"]}
            self._note("owns", exchange, r["GroupId"], r["MemberId"], owned=sorted(owned))
        elif key == CONSUMER_HEARTBEAT:
            if r["MemberEpoch"] < 0:
                self._note("leave", exchange, r["GroupId"], r["MemberId"])
            elif r["MemberEpoch"] == 0:
                self._note("owns", exchange, r["GroupId"], r["MemberId"], owned=[])
            elif r["TopicPartitions"] is not None:
                self._note("owns", exchange, r["GroupId"], r["MemberId"], owned=self._named(r["TopicPartitions"]))
            else:
                self._note("alive", exchange, r["GroupId"], r["MemberId"])
        # A SyncGroup to a stable group does not renew the session, on Kafka either.
        elif key == HEARTBEAT:
            self._note("alive", exchange, r["GroupId"], r["MemberId"])

    def _note_response(self, exchange, response):
        r, key, error = exchange.request, exchange.key, response.get("ErrorCode", 0)
        if key in (SYNC, HEARTBEAT, CONSUMER_HEARTBEAT, JOIN):
            member = r["MemberId"] or response.get("MemberId")
            if error:
                self._note("refused", exchange, r["GroupId"], member, error=error, api=key)
            elif key == HEARTBEAT:
                self._note("confirmed", exchange, r["GroupId"], member)
            elif key == JOIN:
                self._note("joined", exchange, r["GroupId"], response["MemberId"], epoch=response["GenerationId"])
            elif key == SYNC:
                got = codec.embedded("ConsumerProtocolAssignment", response["Assignment"])
                got = [(t["Topic"], p) for t in (got or {}).get("AssignedPartitions", ()) for p in t["Partitions"]]
                self._note("told", exchange, r["GroupId"], member, epoch=r["GenerationId"], owned=sorted(got), classic=True)
            elif response["Assignment"] is not None and response["MemberEpoch"] > 0:
                self._note("told", exchange, r["GroupId"], member, epoch=response["MemberEpoch"],
                           owned=self._named(response["Assignment"]["TopicPartitions"]), classic=False)
            else:
                self._note("confirmed", exchange, r["GroupId"], member)
        elif key == OFFSET_COMMIT:
            sent = {(self._name(t), p["PartitionIndex"]): p["CommittedOffset"] for t in r["Topics"] for p in t["Partitions"]}
            done = [(self._name(t), p["PartitionIndex"]) for t in response["Topics"] for p in t["Partitions"] if not p["ErrorCode"]]
            if done:
                self._note("committed", exchange, r["GroupId"], r.get("MemberId"), sent=exchange.time,
                           epoch=r.get("GenerationIdOrMemberEpoch"), offsets=[(tp, sent[tp]) for tp in done if tp in sent])
        elif key == OFFSET_FETCH:
            self._note_fetched(exchange, r, response)

    def _note_fetched(self, exchange, r, response):
        requests = r["Groups"] if "Groups" in r else [r]
        responses = response["Groups"] if "Groups" in response else [response]
        for asked, got in zip(requests, responses):
            if got.get("ErrorCode"):
                continue
            offsets = [((self._name(t), p["PartitionIndex"]), p["CommittedOffset"]) for t in got["Topics"]
                       for p in t["Partitions"] if not p["ErrorCode"]]
            self._note("fetched", exchange, asked["GroupId"], asked.get("MemberId"), sent=exchange.time, offsets=offsets,
                       all=asked["Topics"] is None)

    def _name(self, topic):
        name = topic.get("Name")
        return name if name else self.topics.get(topic.get("TopicId"), topic.get("TopicId"))

    def _named(self, partitions):
        return sorted((self._name(t), p) for t in partitions for p in t["Partitions"])
