//! What several stories need: claims, Secrets and waits in a few words.
