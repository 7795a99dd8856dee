"""A worker on asyncio: aio-pika, asyncpg, aiohttp and uvloop; many receipts in hand, each written on its own."""

import asyncio
import json

import aio_pika
import aiohttp
import asyncpg
import uvloop

import receipts


async def main():
    pool = await asyncpg.create_pool(receipts.CONFIG["database_url"], min_size=16, max_size=16)
    connection = await aio_pika.connect(receipts.CONFIG["amqp_url"])
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=receipts.CONFIG["prefetch"])
    queue = await channel.get_queue(receipts.CONFIG["queue"], ensure=False)
    tls = receipts.tls()
    connector = aiohttp.TCPConnector(limit=64, ssl=tls if tls else False)
    async with aiohttp.ClientSession(connector=connector, headers=receipts.HEADERS) as session:

        async def register(message):
            receipt, parameters = receipts.prepare(json.loads(message.body))
            assert await pool.fetch(receipts.ACCEPT, *parameters)
            async with session.post(receipts.URL, data=receipt["wire"]) as answer:
                answer.raise_for_status()
                text = await answer.text()
            assert await pool.fetch(receipts.RECORD, *receipts.answered(receipt, text))
            await message.ack()

        await queue.consume(register)
        await asyncio.Future()


uvloop.run(main())
