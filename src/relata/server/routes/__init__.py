"""The routes, a module per subject. Each validates, asks the authorizer and answers, no more."""
