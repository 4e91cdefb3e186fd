"""The torch engine of opd: one transformers model behind a ZeroMQ socket, trained by FSDP2.

`python -m opd_torch` is one rank; torchrun starts several. `docs/torch.md` has the messages.
"""

PROTOCOL_VERSION = 1
