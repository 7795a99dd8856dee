-- Where an account is.
INSERT INTO accounts (name, identity)
VALUES ('main', 'atol at online.atol.ru, group v4-online-atol-ru_4179');
