# Loaded by transformers with trust_remote_code=True. The model's code is that of the `simplify`
# program it was trained with, which has to be installed beside transformers.
try:  # in a `try`, or transformers would propose a package of that name from elsewhere
    from simplify.export.huggingface import SimplifyConfig, SimplifyForCausalLM, SimplifyForMaskedLM
except ImportError as error:
    raise ImportError("this model runs the code it was trained with: install simplify beside transformers") from error

__all__ = ["SimplifyConfig", "SimplifyForCausalLM", "SimplifyForMaskedLM"]
