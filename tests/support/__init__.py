"""What tests share: a server in the test's own loop, scripted models, raw calls. No test lives here."""
