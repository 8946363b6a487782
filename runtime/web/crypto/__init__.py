"""Web Cryptography API, on ``cryptography``: ``subtle`` has the operations, by algorithm in a file each."""
