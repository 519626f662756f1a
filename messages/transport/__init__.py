"""How messages travel: one set of promises (``ports``), kept by RabbitMQ and by the embedded broker.

``connect.connect`` turns a URL into a ``Broker``. Only this package knows kombu, which consumes, and pika, which
publishes on AMQP. Nothing here waits without end or tries twice: each call makes one attempt of bounded time, and when
to make the next is the caller's to decide.
"""
