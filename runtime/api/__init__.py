"""What is common to those who speak Cloudflare's API: its envelope, and its errors."""
