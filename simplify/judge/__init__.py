"""Is a change kept? Fresh seeds in pairs, planned looks, one error budget for a whole campaign, and its ledger."""
