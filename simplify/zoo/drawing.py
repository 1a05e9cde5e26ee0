"""The layout of a block drawn with characters, from left to right. No torch."""

from __future__ import annotations

from simplify.config import BlockConfig


def draw(block: BlockConfig) -> list[str]:
    """Lines of equal meaning to the block's equations: skips above, branches on the line, sums as (+)."""
    if block.layout == "parallel":
        return _parallel(block)
    first = _sub_block(block, "MHA", block.has("attn_skip"))
    second = _sub_block(block, "MLP", block.has("mlp_skip"))
    above, line = (a + "     " + b for a, b in zip(first, second, strict=True))
    above, line = "   " + above, "x ─" + first[1] + " x1 ─" + second[1] + "─ y"
    return [text.rstrip() for text in (above, line) if text.strip()]


def _chain(block: BlockConfig, branch: str) -> str:
    """A branch with the norms before it and on its output."""
    before = "─ N " if "before" in block.norm_places else ""
    output = "─ N " if "output" in block.norm_places else ""
    return f"{before}─ {branch} {output}─"


def _sub_block(block: BlockConfig, branch: str, skip: bool) -> tuple[str, str]:
    """The line above, with the skip, and the line of the branch; equally long."""
    chain, after = _chain(block, branch), "─ N " if "after" in block.norm_places else ""
    if not skip:
        line = f"─{chain}─{after}─"
        return " " * len(line), line
    line = f"┴{chain}(+){after}─"
    above = "┌" + "─" * (len(chain) + 1) + "┐"
    return above.ljust(len(line)), line


def _parallel(block: BlockConfig) -> list[str]:
    """Both branches on one normed input, and at most one skip."""
    before = "─ N " if "before" in block.norm_places else ""
    output = "─ N " if "output" in block.norm_places else ""
    after = "─ N " if "after" in block.norm_places else ""
    fork = "┴" if block.has("attn_skip") else "─"
    lead = f"x ─{fork}{before}─"
    line = f"{lead}┬─ MHA {output}─(+){after}─ y"
    below = " " * len(lead) + f"└─ MLP {output}──┘"
    if not block.has("attn_skip"):
        return [line, below]
    above = "   ┌" + "─" * (line.index("(+)") + 1 - 4) + "┐"
    return [above, line, below]
