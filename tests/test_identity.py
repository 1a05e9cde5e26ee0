"""Identity: what names a run, what does not, and that names stay."""

from __future__ import annotations

import pytest

from simplify.choices import choices
from simplify.compose import compose_run
from simplify.runs.identity import SCHEMA, identity, label, run_id

CORPUS = "0123456789abcdef"

# Ids of the shipped variants at gpt_nano. They change only together with SCHEMA: a run that people
# have already trained must be found again.
PINNED: dict[str, str] = {
    "deepnorm": "6240d20013",
    "derf": "e962954ae6",
    "dyt": "9c75f78875",
    "gated_attention": "5aead471d3",
    "gpt2_init": "aa313e967a",
    "inv_sqrt_depth": "5c516f1975",
    "layerscale": "72d24b2c40",
    "lns": "e5350e26bd",
    "no_query": "4a4bcd76f9",
    "olmo2": "0fbd235762",
    "op": "ec97c47504",
    "parallel": "80196ab30f",
    "peri_ln": "77f535439e",
    "post_ln": "035e662563",
    "pre_ln": "4f168f3cca",
    "pre_ln_identity_vp": "ed7b38698c",
    "pre_ln_trainable_vp": "b13bd3ba7e",
    "qk_norm": "34ac45bc92",
    "rezero": "19113ff38b",
    "sas": "4dada6ef64",
    "sas_no_mlp_skip": "83b2537134",
    "sas_no_norm": "3e32cb7764",
    "sas_p": "1baba667bc",
    "sas_p_no_norm": "844c1596a9",
    "shared_kv": "b9c8dc95a9",
    "skipless_plain": "b5b35c0f0d",
    "skipless_reparam": "7f1feb3e4c",
    "skipless_trainable_vp": "dcd6696281",
    "soft_cap": "f6350331a0",
    "v_skipinit": "e5252cb05e",
    "v_skipinit_bare": "5860b3ea87",
    "value_residual": "f0b1892ed1",
}


def ident(*words: str) -> str:
    return run_id(compose_run(list(words)), CORPUS)


def test_ids_of_shipped_variants_are_pinned() -> None:
    assert SCHEMA == 1
    assert {name: ident(f"block={name}", "optimiser.lr=1e-3") for name in choices("block")} == PINNED


def test_every_variant_has_its_own_id() -> None:
    assert len({ident(f"block={name}") for name in choices("block")}) == len(choices("block"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["optimiser.lr=1e-3"], ["optimiser.lr=0.001"]),
        (["model.n_kv_heads=4"], []),
        (["model.d_head=32"], []),
        (["model.final_norm=rmsnorm"], []),
        (["block=sas_no_norm", "model.embedding_norm=true"], ["block=sas_no_norm"]),
        (["block.trainable_gains=[alpha,beta,gamma,attn_branch,mlp_skip,mlp_branch]"], []),
        (["block=pre_ln", "block.layout=parallel", "block.mlp_skip=null"], ["block=parallel"]),
        (["train.tokens=204800"], ["train.steps=100"]),
        (["seed=3"], ["model.seed=3", "data.seed=3"]),
        (["model=gpt_small", "block.mlp_branch=0.1"], ["model=gpt_small"]),
        (["block.value={kind:identity}"], ["block.value=identity"]),
        (["block=dyt"], ["block=pre_ln", "model.norm=dyt"]),
        (["block=lns", "model.n_layers=1", "block.input_gain=1"], ["block=pre_ln", "model.n_layers=1"]),
        (["block=lns"], ["block=pre_ln", "block.input_gain={rule:inv_sqrt_layer,value:0.5,at_depth:4}"]),
        (
            ["block.output_init_scale={rule:inv_sqrt_depth,value:0.5,at_depth:1}", "model.n_layers=4"],
            ["block.output_init_scale=0.25", "model.n_layers=4"],
        ),
        (["model.kind=encoder", "train.mlm_probability=0.25"], ["model.kind=encoder"]),
    ],
)
def test_spelling_does_not_matter(one: list[str], other: list[str]) -> None:
    assert ident(*one) == ident(*other)


@pytest.mark.parametrize(
    "machine_fact",
    [
        "train.device=cpu",
        "train.compile=true",
        "train.micro_batch=2",
        "train.log_every=1",
        "train.val_every=7",
        "train.checkpoint_every=9",
        "train.checkpoint_minutes=1",
        "cluster.cpu_threads=1",
        "wandb.mode=disabled",
        "wandb.tags=[x]",
        "run_root=elsewhere",
        "data.path=null",
    ],
)
def test_machine_facts_stay_out(machine_fact: str) -> None:
    assert ident(machine_fact) == ident()


@pytest.mark.parametrize(
    "setting",
    [
        "block=sas_p",
        "block.beta=0.5",
        "block.head_gains=false",
        "block.trainable_gains=[alpha]",
        "block.output_init_scale=0.5",
        "block.first_value=null",
        "model.n_heads=8",
        "model.kind=encoder",
        "model.positions=alibi",
        "block.soft_cap=30",
        "optimiser.value_lr_ratio=0.5",
        "model.init_std=0.03",
        "optimiser.lr=2e-3",
        "optimiser.schedule=cosine",
        "train.steps=601",
        "train.batch_tokens=4096",
        "train.precision=bf16",
        "train.val_sequences=100",
        "data.packing=document",
        "data.vocab_size=5000",
        "data.seed=1",
        "model.seed=1",
        "seed=1",
    ],
)
def test_what_can_change_the_result_is_in(setting: str) -> None:
    assert ident(setting) != ident()


def test_the_corpus_is_in_and_labels_are_not() -> None:
    run = compose_run([])
    assert run_id(run, "another corpus") != run_id(run, CORPUS)
    renamed = run.model_copy(update={"block": run.block.model_copy(update={"name": "my favourite"})})
    assert run_id(renamed, CORPUS) == run_id(run, CORPUS)
    assert label(renamed) == "my favourite-gpt_nano" and label(run) == "sas-gpt_nano"


def test_only_what_differs_from_the_defaults_is_hashed() -> None:
    found = identity(compose_run(["block=pre_ln", "model=gpt_small"]), CORPUS)
    assert found["block"] == {} and found["optimiser"] == {}
    assert set(found["model"]) == {"n_layers", "d_model", "n_heads", "d_ff", "seq_len", "n_positions"}
